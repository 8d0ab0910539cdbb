"""What every error of ours has in common."""

import pickle

from mobilenets.errors import DataError, InputError


def test_a_message_is_one_line_whatever_a_file_is_called():
    error = DataError("data/\n.xml: junk after\r\nline 2")
    assert str(error) == "data/ .xml: junk after line 2"
    assert isinstance(error, InputError)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # between processes
