"""The answer of a fit as users hold it: it reports, draws and saves itself."""
