"""TaylorGLO's losses: third-order polynomials of prediction and target, as expressions.

Source: Gonzalez & Miikkulainen 2021 (TaylorGLO); thesis, ch. 4. Written as a symbolic loss, such a
polynomial is evaluated, explained, saved and exported like any other formula.
"""

from collections.abc import Sequence

from lossforge.losses.symbolic import SymbolicLoss
from lossforge.tasks.kinds import Kind
from lossforge.validation import require

PARAMETERS = 8


def taylor_loss(parameters: Sequence[float], kind: Kind | str = "classification") -> SymbolicLoss:
    """Return the loss -f of the polynomial with 8 parameters theta.

    f = θ2·d + ½θ3·d² + ⅙θ4·d³ + θ5·e·d + ½θ6·e·d² + ½θ7·e²·d, with d = p - θ1 and e = y - θ0:
    an expansion of third order around (θ0, θ1), without the terms that p is not in.

    Args:
        parameters: θ0 to θ7.
        kind: of the task.

    Raises:
        ConfigurationError: there are not 8 parameters.

    Examples:
        >>> import torch
        >>> loss = taylor_loss([0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0])
        >>> print(loss)
        -p·y
    """
    require(
        len(parameters) == PARAMETERS,
        f"a Taylor loss has {PARAMETERS} parameters, not {len(parameters)}",
    )
    t = [repr(float(value)) for value in parameters]
    half = [repr(float(value) / 2) for value in parameters]
    d, e = f"sub(p, {t[1]}*1)", f"sub(y, {t[0]}*1)"
    by_target = f"add({t[2]}*1, add({t[5]}*{e}, {half[7]}*square({e})))"
    by_prediction = f"add({half[3]}*1, add({half[6]}*{e}, {float(parameters[4]) / 6!r}*{d}))"
    # Horner's form in d.
    return SymbolicLoss(f"-1*mul({d}, add({by_target}, mul({d}, {by_prediction})))", kind=kind)
