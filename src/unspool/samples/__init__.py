"""Sample data of the package: everyday questions with answers, and generated sentences for agreement."""

from __future__ import annotations
