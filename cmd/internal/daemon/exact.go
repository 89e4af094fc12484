package daemon

import "encoding/json"

// What a user names may be any bytes, and JSON would replace those that are not UTF-8:
// they travel once more, as they are.
type exact struct{ Mountpoint, User, Password, Dir, CacheDir, FsName, State, Cache []byte }

type inexact Config // Config without its methods

type message struct {
	inexact
	Exact exact `json:"exact"`
}

// MarshalJSON is for the pipe.
func (c Config) MarshalJSON() ([]byte, error) {
	return json.Marshal(message{inexact(c), exact{
		[]byte(c.Mountpoint), []byte(c.Target.User), []byte(c.Password), []byte(c.Target.Dir),
		[]byte(c.Options.CacheDir), []byte(c.Options.FsName), []byte(c.Roots.State), []byte(c.Roots.Cache),
	}})
}

// UnmarshalJSON is its inverse.
func (c *Config) UnmarshalJSON(b []byte) error {
	var m message
	if err := json.Unmarshal(b, &m); err != nil {
		return err
	}
	*c = Config(m.inexact)
	e := m.Exact
	c.Mountpoint, c.Target.User, c.Password, c.Target.Dir = string(e.Mountpoint), string(e.User), string(e.Password), string(e.Dir)
	c.Options.CacheDir, c.Options.FsName = string(e.CacheDir), string(e.FsName)
	c.Roots.State, c.Roots.Cache = string(e.State), string(e.Cache)
	return nil
}
