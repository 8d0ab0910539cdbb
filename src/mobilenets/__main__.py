"""`python -m mobilenets` is the command line; `accelerate launch -m mobilenets` needs it."""

from mobilenets.cli import main

if __name__ == "__main__":
    main()
