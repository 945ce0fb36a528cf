"""Training, rendering and judging one order, without a database."""
