"""From a file to its label: this package beside a plain program, on somebody's own pictures."""
