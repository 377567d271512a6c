"""The method's forward pass (Wang et al., 2016): heat maps, proposals, MatchNet, inference."""
