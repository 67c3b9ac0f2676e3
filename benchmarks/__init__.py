"""Speed measurements that can be repeated on any machine; accuracy is measured by `train.evaluate`."""
