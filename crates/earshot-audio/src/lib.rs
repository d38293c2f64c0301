//! Sound in, sound out.
