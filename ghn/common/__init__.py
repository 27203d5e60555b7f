"""What every room uses: it knows neither models nor graphs."""
