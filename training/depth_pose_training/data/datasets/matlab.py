"""Reading MATLAB files with errors that name what is wrong."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.io import loadmat

from depth_pose_training.data.datasets.base import DatasetError


def read_matrix(path: Path, name: str) -> NDArray:
    """The matrix ``name`` of a MATLAB file.

    Raises:
        DatasetError: the file is missing, damaged, or holds no such matrix.
    """
    if not path.is_file():
        raise DatasetError(f"{path} is missing: is the root the dataset's folder?")
    try:
        content = loadmat(str(path), variable_names=[name])
    except Exception as error:  # loadmat has another one for each way a file can be damaged
        raise DatasetError(f"{path} is not a readable MATLAB file: {error}") from error
    if name not in content:
        raise DatasetError(f"{path} holds no matrix {name}")
    return np.asarray(content[name])
