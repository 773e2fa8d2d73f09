static void
reserve_settled(void)
{
}
