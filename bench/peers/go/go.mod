module treadle.example/peers

go 1.22
