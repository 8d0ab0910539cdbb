"""`python -m mobilenets` is the command line; `accelerate launch -m mobilenets` needs it."""

from mobilenets.cli import main

main()
