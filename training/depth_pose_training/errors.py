"""What a user can mend."""


class UserError(ValueError):
    """Wrong input or options; its message says what is wrong and what to do."""
