"""Small tools for tensors that know nothing of eigenvalues."""
