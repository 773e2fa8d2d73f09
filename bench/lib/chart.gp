# chart.gp - a chart of the benchmark
#
# Variables: data, the file with the table of chart_data; image, the file to write;
# heading; kinds, a letter for each column of the table after the first (see way_kind).

set terminal svg size 900,620 font "sans-serif,14" background "white"
set output image

set title heading font ",18"
set xlabel "clients at once" offset 0, 0.4
set logscale x 2
set xtics nomirror 2
set yrange [0:*]
set format y "%.0f"
set ytics nomirror
set border 3
set grid ytics lc rgb "#dddddd" lt 1
set key below Left reverse vertical maxrows 5 width -6 samplen 3 noenhanced font ",12"

# nth(i): column i is the n-th of its kind, counted from the last column.  The last
# column is drawn on top of the others and is the first in the key.
array ours[3] = [0xc0392b, 0xe67e22, 0xf4b942]
array others[6] = [0x2e6da4, 0x2a9d8f, 0x7b5ea7, 0x6c7a89, 0x8ab17d, 0x5dade2]
kind(i) = kinds[i:i]
nth(i) = i == strlen(kinds) || kind(i + 1) ne kind(i) ? 1 : nth(i + 1) + 1
colour(i) = kind(i) eq "o" ? ours[nth(i)] : kind(i) eq "s" ? others[nth(i)] : 0x000000
width(i) = kind(i) eq "o" && nth(i) == 1 ? 5 : kind(i) eq "s" ? 1.5 : 2.5
dashes(i) = kind(i) eq "u" ? 2 : 1
mark(i) = kind(i) eq "o" ? 7 : kind(i) eq "u" ? 6 : 2 * nth(i) + 2

# First the lines, then the key, which has the reverse order.
n = strlen(kinds)
plot for [i = 1:n] data using 1:(column(i + 1)) with linespoints \
		notitle lc rgb colour(i) lw width(i) dt dashes(i) pt mark(i) ps 0.7, \
	for [i = n:1:-1] data using 1:(NaN) with linespoints \
		title columnheader(i + 1) lc rgb colour(i) lw width(i) dt dashes(i) pt mark(i) ps 0.7
