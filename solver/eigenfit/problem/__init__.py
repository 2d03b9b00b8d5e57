"""What is fitted: structures, what is observed of their spectra, what may vary."""
