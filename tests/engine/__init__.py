"""Our engine inside inspect_ai: real evaluations, whose trace logs this package writes."""
