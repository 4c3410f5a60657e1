// Nothing is called from outside: the library works through LD_PRELOAD.
