// Package adminapi is the Go client of the administration API, generated from
// its OpenAPI document (role/provider/apiv1/openapi.json). It imports nothing
// of this module, so that programs outside the site can use it.
//
// Every answer that is not a success has its body in ApplicationproblemJSONDefault.
package adminapi

//go:generate go tool oapi-codegen -config oapi-codegen.yaml ../role/provider/apiv1/openapi.json
