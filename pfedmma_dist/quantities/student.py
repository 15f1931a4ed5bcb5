"""Student's t: how far a mean of few may be off."""

NORMAL = 1.959963984540054
"""The 97.5 % quantile of the normal distribution."""

STUDENT = (
    12.706205, 4.302653, 3.182446, 2.776445, 2.570582, 2.446912,
    2.364624, 2.306004, 2.262157, 2.228139, 2.200985, 2.178813,
    2.160369, 2.144787, 2.131450, 2.119905, 2.109816, 2.100922,
    2.093024, 2.085963, 2.079614, 2.073873, 2.068658, 2.063899,
    2.059539, 2.055529, 2.051831, 2.048407, 2.045230, 2.042272,
)  # fmt: skip
"""97.5 % quantiles of Student's t at 1, 2, ... degrees of freedom: the column 0.975 of the table in
the NIST/SEMATECH e-Handbook of Statistical Methods, 1.3.6.7.2, to more digits."""


def t_quantile(freedom: int) -> float:
    """Return the 97.5 % quantile of Student's t at so many degrees of freedom.

    Beyond the table by the expansion of Abramowitz and Stegun, 26.7.5.
    """
    if freedom <= len(STUDENT):
        return STUDENT[freedom - 1]
    z, n = NORMAL, float(freedom)
    return (
        z
        + (z**3 + z) / (4 * n)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * n**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * n**3)
        + (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / (92160 * n**4)
    )
