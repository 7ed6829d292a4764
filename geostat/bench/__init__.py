"""What geostat's numerics cost and how exact they are, beside the published protocol written plainly."""
