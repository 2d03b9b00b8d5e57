"""Runs the command as `python -m eigenfit_serving`."""

from eigenfit_serving.cli.app import main

if __name__ == "__main__":
    main()
