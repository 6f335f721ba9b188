//! The clients people have, with the authority's certificate where each looks for it.
