package config

import (
	"strconv"

	"github.com/goccy/go-yaml/ast"
)

// itemName is what a list item is called in messages: its stable key, or else
// its place in the list, from 1.
func itemName(n ast.Node, i int) string {
	if m, ok := n.(*ast.MappingNode); ok {
		for _, kv := range m.Values {
			switch keyText(kv.Key) {
			case "id", "number", "date", "match":
				if text, ok := scalarText(kv.Value); ok {
					return text
				}
			}
		}
	}
	return strconv.Itoa(i + 1)
}

func keyText(k ast.MapKeyNode) string {
	if text, ok := scalarText(k); ok {
		return text
	}
	return k.String()
}

// scalarText is a scalar as it was written, without its quotes.
func scalarText(n ast.Node) (string, bool) {
	switch n := n.(type) {
	case *ast.StringNode:
		return n.Value, true
	case *ast.LiteralNode:
		return n.Value.Value, true
	case *ast.IntegerNode:
		return n.Token.Value, true
	case *ast.FloatNode:
		return n.Token.Value, true
	case *ast.BoolNode:
		return n.Token.Value, true
	}
	return "", false
}

func kindOf(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.NullNode:
		return "nothing"
	case *ast.AnchorNode, *ast.AliasNode, *ast.MergeKeyNode:
		return "an anchor or alias (not supported: repeat the value)"
	case *ast.TagNode:
		return "a tagged value (not supported)"
	case *ast.InfinityNode, *ast.NanNode:
		return "a special number"
	}
	return "one value"
}
