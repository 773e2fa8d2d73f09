static int stray;
