"""What jaxtyping checks the package's annotations with."""

import beartype

# An int will do where a float is asked for, as PEP 484 says.
check = beartype.beartype(
    conf=beartype.BeartypeConf(is_pep484_tower=True))
