"""One attempt of one probe: asks, and says what it heard. Thresholds are the prober's business."""
