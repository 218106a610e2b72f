"""Tests of the ready-made sources, on the real libraries."""
