"""Plans declared before the runs are looked at, and results that say whether they keep to one."""
