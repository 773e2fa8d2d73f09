/*
 * fine
 */
fine
    fine
      fine
	wrong
  wrong
