"""A use that only the tests have: how bright a picture is, one number judged by its error.

No classes, smaller is better, two outputs, no loss in validation, and none of the parts that a use
may do without.
"""
