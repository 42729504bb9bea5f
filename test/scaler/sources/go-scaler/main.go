// An external scaler on KEDA's own generated package: what its authors write. What it says is set over HTTP:
// PUT /?active=true&value=3 ; its stream tells at once.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"sync"

	pb "github.com/kedacore/keda/v2/pkg/scalers/externalscaler"
	"google.golang.org/grpc"
)

type scaler struct {
	pb.UnimplementedExternalScalerServer
	mutex   sync.Mutex
	active  bool
	value   float64
	changed chan struct{}
	asked   string
}

func (s *scaler) now(ref *pb.ScaledObjectRef) (bool, float64, chan struct{}) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	s.asked = fmt.Sprintf("%s/%s queue=%s", ref.Namespace, ref.Name, ref.ScalerMetadata["queue"])
	return s.active, s.value, s.changed
}

func (s *scaler) IsActive(_ context.Context, ref *pb.ScaledObjectRef) (*pb.IsActiveResponse, error) {
	active, _, _ := s.now(ref)
	return &pb.IsActiveResponse{Result: active}, nil
}

func (s *scaler) StreamIsActive(ref *pb.ScaledObjectRef, stream pb.ExternalScaler_StreamIsActiveServer) error {
	for {
		active, _, changed := s.now(ref)
		if err := stream.Send(&pb.IsActiveResponse{Result: active}); err != nil {
			return err
		}
		select {
		case <-stream.Context().Done():
			return nil
		case <-changed:
		}
	}
}

func (s *scaler) GetMetricSpec(context.Context, *pb.ScaledObjectRef) (*pb.GetMetricSpecResponse, error) {
	return &pb.GetMetricSpecResponse{MetricSpecs: []*pb.MetricSpec{{MetricName: "backlog", TargetSizeFloat: 2.5}}}, nil
}

func (s *scaler) GetMetrics(_ context.Context, in *pb.GetMetricsRequest) (*pb.GetMetricsResponse, error) {
	_, value, _ := s.now(in.ScaledObjectRef)
	return &pb.GetMetricsResponse{MetricValues: []*pb.MetricValue{{MetricName: in.MetricName, MetricValueFloat: value}}}, nil
}

func (s *scaler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	if r.Method == http.MethodPut {
		s.active = r.URL.Query().Get("active") == "true"
		s.value, _ = strconv.ParseFloat(r.URL.Query().Get("value"), 64)
		close(s.changed)
		s.changed = make(chan struct{})
	}
	fmt.Fprint(w, s.asked)
}

func main() {
	s := &scaler{changed: make(chan struct{})}
	grpcListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	httpListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	pb.RegisterExternalScalerServer(server, s)
	fmt.Printf("{\"grpc\":%q,\"http\":%q}\n", grpcListener.Addr(), httpListener.Addr())
	go func() { panic(http.Serve(httpListener, s)) }()
	panic(server.Serve(grpcListener))
}
