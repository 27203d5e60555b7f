"""What recorded operators mean: rules of data flow that find primitives and parameters.

Floors, each of which imports only those below it:

    simplify             contract, prune, find the head: the graph
    reader               one pass over a record
    handlers             what each operator is
    attention, pooling   families of handlers
    rules                what handlers share: layers and biases, sums, gates, contraction
    builder              takes down nodes, provenance and claims; what remains is a `Reading`
    weights              which values are on their way to be weights
    flow, layout, operators

`modules` and `sharing` stand beside them: graphs of models that cannot be run, parameters that share memory.
"""
