"""Hypothesis without a clock: a busy machine must not fail a property."""

from hypothesis import HealthCheck, settings

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
