/*
 * fine
 */
	fine
	    fine
    wrong
 	wrong
