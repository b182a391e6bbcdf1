"""Training one model, and evaluating it; knows neither suites nor records."""
