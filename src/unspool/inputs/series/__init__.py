"""Input of series: numbers over time, scaled by the training data, with masks, calendar features and windows."""
