"""Problems: structures, observations of their spectra, and parameters that may vary."""
