extern void loop_again(void);
