"""A model as one HTML page: WebAssembly where the browser has it, plain JavaScript everywhere."""
