fine
    fine
	wrong
