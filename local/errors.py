"""What can go wrong on one machine, in words for the person at the terminal."""


class LocalError(Exception):
    """One sentence: what is wrong, where, and what to do. The command line prints it without a traceback."""


class UnavailableError(LocalError):
    """This way to a Kafka is closed here: no engine, no Java, no download."""
