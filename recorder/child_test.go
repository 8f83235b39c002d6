package recorder

func childMain() {}
