//! Every file that we ship is accepted by the program it is for.
