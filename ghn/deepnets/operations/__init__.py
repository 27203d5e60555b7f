"""The operations of DeepNets-1M cells: one record each, in `table`; all that is known of one stands in one place."""
