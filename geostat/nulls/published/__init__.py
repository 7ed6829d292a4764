"""Published figures beside independent updates of the same density."""
