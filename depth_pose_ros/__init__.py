"""Depth-camera body tracking: a depth image in, 3-D skeletons out.

The core knows nothing of ROS and can be imported without it.  What does know it: :mod:`.node`,
:mod:`.main`, :mod:`.parameters`, :mod:`.reader`, :mod:`.outputs`, :mod:`.markers`,
:mod:`.conversions` and :mod:`.demo`.
"""

__version__ = "0.1.0"
