"""The uses of a network: a folder each, and what they share.

`base` has the interfaces, `registry` the list of all. Nothing outside a task's folder imports
from it: the rest of the package asks the registry.
"""
