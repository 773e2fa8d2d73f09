blank 
return
both 
no newline