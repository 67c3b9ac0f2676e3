"""From an image to a judgement: predictor, calibration, evaluation, overlay and the catalog of predictors."""
